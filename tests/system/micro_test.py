"""The microbenchmarks on pipelines, caches and TLBs of which every number is given: the curves show these numbers, to the
cycle, and follow each of them when it changes by one."""

import functools
import subprocess
import unittest

import bunshin_process
from bunshin_process import GUESTS, run

L1, L2, L3 = 5, 15, 47
L1_LINES, L2_LINES, L3_LINES = 32768 // 64, 262144 // 64, 1048576 // 64
L1_WAYS, L2_WAYS, L3_WAYS = 8, 8, 16
# Controller 20 ns, activation 10 ns, column 10 ns, burst 1 ns, at 2 GHz; the page is closed after each access.
DRAM = L3 + 40 + 20 + 20 + 2
TLB = 9

FIXED = {
    "machine.memory": "512MiB",
    "cpu.frequency": "2GHz",
    "caches.l1d.size": "32KiB", "caches.l1d.ways": L1_WAYS, "caches.l1d.latency": L1, "caches.l1d.replacement": "lru",
    "caches.l1i.size": "32KiB", "caches.l1i.ways": 8, "caches.l1d.mshrs": 8,
    "caches.l2.size": "256KiB", "caches.l2.ways": L2_WAYS, "caches.l2.latency": L2, "caches.l2.replacement": "lru",
    "caches.l3.size": "1MiB", "caches.l3.ways": L3_WAYS, "caches.l3.latency": L3, "caches.l3.replacement": "lru",
    "caches.dram.open_page": "false", "caches.dram.controller": 20000, "caches.dram.rcd": 10000,
    "caches.dram.cas": 10000, "caches.dram.rp": 10000, "caches.dram.burst": 1000,
    "tlb.latency": TLB,
    "tlb.small.entries": 512, "tlb.small.ways": 8, "tlb.large.entries": 128, "tlb.large.ways": 8,
    "tlb.giant.entries": 16, "tlb.giant.ways": 4,
    "tlb.l1d.small.entries": 64, "tlb.l1d.small.ways": 4, "tlb.l1d.large.entries": 32, "tlb.l1d.large.ways": 4,
    "tlb.l1d.giant.entries": 4, "tlb.l1d.giant.ways": 4,
    "tlb.l1i.small.entries": 64, "tlb.l1i.small.ways": 4,
}
# One cache for all lines and tables of the largest TLB test.
LARGE_L1 = {"caches.l1d.size": "512KiB"}
BOTH = ("inorder", "ooo")


@functools.lru_cache(maxsize=None)
def measured(timing, words, settings):
    end = run("multiboot.yaml",
              {**FIXED, "guest.kernel": GUESTS / "micro", "guest.cmdline": words, **dict(settings)},
              ("--quiet", "--timing", timing, "--max-cycles", 20_000_000_000))
    assert end.status == 0, end
    lines = (line.split() for line in end.console.decode().splitlines())
    return {f"{name}={parameter}": float(cycles) for name, parameter, cycles in lines}


def cycles(timing, *points, settings=None):
    """Cycles of the points, in their order."""
    found = measured(timing, " ".join(points), tuple(sorted((settings or {}).items())))
    values = [found[point] for point in points if "=" in point and not point.startswith("far=")]
    return values[0] if len(values) == 1 else values


class Curves(unittest.TestCase):
    def same(self, value, expected, message=None):
        """The printed value has three decimals."""
        self.assertAlmostEqual(value, expected, delta=0.0011, msg=message)


class LoadLatency(Curves):
    POINTS = ("load_latency=16384", "load_latency=131072", "load_latency=786432", "load_latency=4194304")

    def test_each_level_answers_after_its_latency(self):
        for timing in BOTH:
            for value, expected in zip(cycles(timing, *self.POINTS), (L1, L2, L3, DRAM)):
                self.same(value, expected, timing)

    def test_a_cycle_more_at_one_level_is_a_cycle_more_there_and_nowhere_else(self):
        levels = {"caches.l1d.latency": L1 + 1, "caches.l2.latency": L2 + 1, "caches.dram.controller": 20500}
        changed = {"caches.l1d.latency": (1, 0, 0, 0), "caches.l2.latency": (0, 1, 0, 0),
                   "caches.dram.controller": (0, 0, 0, 1)}
        for timing in BOTH:
            before = cycles(timing, *self.POINTS)
            for key, value in levels.items():
                after = cycles(timing, *self.POINTS, settings={key: value})
                for old, new, expected in zip(before, after, changed[key]):
                    self.same(new - old, expected, (timing, key))

    def test_memory_comes_on_top_of_the_last_level(self):
        before = cycles("ooo", *self.POINTS)
        after = cycles("ooo", *self.POINTS, settings={"caches.l3.latency": L3 + 1})
        for old, new, expected in zip(before, after, (0, 0, 1, 1)):
            self.same(new - old, expected)

    def test_knees_are_where_the_capacities_are(self):
        """As many lines as a level has fit; of one more, the lines of one set (and no others) miss, under LRU."""
        for lines, ways, hit, miss in ((L1_LINES, L1_WAYS, L1, L2), (L2_LINES, L2_WAYS, L2, L3), (L3_LINES, L3_WAYS, L3, DRAM)):
            for timing in BOTH:
                full, one_more = cycles(timing, f"load_latency={lines * 64}", f"load_latency={lines * 64 + 64}")
                self.same(full, hit, (timing, lines))
                self.same(one_more, (hit * (lines - ways) + miss * (ways + 1)) / (lines + 1), (timing, lines))


class TlbReach(Curves):
    def knee(self, name, entries, ways, hit, miss):
        for timing in BOTH:
            full, one_more, double = cycles(timing, f"{name}={entries}", f"{name}={entries + 1}", f"{name}={2 * entries}",
                                            settings=LARGE_L1)
            self.same(full, hit, timing)
            self.same(one_more, (hit * (entries - ways) + miss * (ways + 1)) / (entries + 1), timing)
            self.same(double, miss, timing)

    def test_first_level_4k(self):
        self.knee("tlb_reach_4k", 64, 4, L1, L1 + TLB)

    def test_first_level_2m(self):
        self.knee("tlb_reach_2m", 32, 4, L1, L1 + TLB)

    def test_first_level_1g(self):
        self.knee("tlb_reach_1g", 4, 4, L1, L1 + TLB)

    def test_second_level_4k(self):
        """Beyond it a walk of one reference, which begins when the second level has missed."""
        self.knee("tlb_reach_4k", 512, 8, L1 + TLB, L1 + TLB + L1)

    def test_second_level_2m(self):
        self.knee("tlb_reach_2m", 128, 8, L1 + TLB, L1 + TLB + L1)

    def test_second_level_1g(self):
        self.knee("tlb_reach_1g", 16, 4, L1 + TLB, L1 + TLB + L1)

    def test_a_cycle_more_in_the_second_level(self):
        points = ("tlb_reach_4k=64", "tlb_reach_4k=128", "tlb_reach_4k=1024")
        for timing in BOTH:
            before = cycles(timing, *points, settings=LARGE_L1)
            after = cycles(timing, *points, settings={**LARGE_L1, "tlb.latency": TLB + 1})
            for old, new, expected in zip(before, after, (0, 1, 1)):
                self.same(new - old, expected, timing)

    def test_pages_of_code(self):
        """Every jump waits for its page; jumps themselves take as long with fewer pages."""
        for timing in BOTH:
            within, beyond, longer = (cycles(timing, "itlb_reach_4k=64"), cycles(timing, "itlb_reach_4k=256"),
                                      cycles(timing, "itlb_reach_4k=256", settings={"tlb.latency": TLB + 1}))
            self.assertAlmostEqual(within, 1, delta=0.02, msg=timing)
            self.assertAlmostEqual(beyond, TLB + (1 if timing == "inorder" else 0), delta=1.02, msg=timing)
            self.assertAlmostEqual(longer - beyond, 1, delta=0.005, msg=timing)


class WalkCost(Curves):
    STRIDES = ("4K", "2M", "1G", "512G")

    def walks(self, name, **settings):
        return cycles("ooo", *(f"{name}={stride}" for stride in self.STRIDES), settings=settings)

    def test_a_warm_walk_is_the_sum_of_its_references(self):
        for references, value in enumerate(self.walks("walk_warm"), 1):
            self.same(value, L1 + TLB + references * L1)

    def test_in_order_the_second_level_of_tables_costs_the_same(self):
        four_k, two_m, one_g, half_t = cycles("inorder", *(f"walk_warm={s}" for s in self.STRIDES))
        for difference in (one_g - two_m, half_t - one_g):
            self.same(difference, L1)

    def test_without_paging_structure_caches_every_walk_reads_four_levels(self):
        none = {f"structure_caches.{level}": 0 for level in ("pml4", "pdpt", "pd")}
        for value in self.walks("walk_warm", **none):
            self.same(value, L1 + TLB + 4 * L1)

    def test_walkers_that_enter_at_the_second_level_pay_its_latency(self):
        for references, value in enumerate(self.walks("walk_warm", **{"caches.walker_entry": "l2"}), 1):
            self.same(value, L1 + TLB + references * L2)

    def test_cold_tables_come_from_memory(self):
        """Eight entries share a line: one reference of eight pays for it. 4 KiB apart all eight are in one table, 512 GiB apart
        only the root's are."""
        four_k, two_m, one_g, half_t = self.walks("walk_cold")
        shared = (7 * L1 + DRAM) / 8
        self.assertAlmostEqual(four_k, L1 + TLB + shared, delta=0.2)
        self.assertAlmostEqual(two_m, L1 + TLB + DRAM + shared, delta=0.2)
        self.assertAlmostEqual(one_g, L1 + TLB + 2 * DRAM + shared, delta=0.2)
        self.assertAlmostEqual(half_t, L1 + TLB + 3 * DRAM + shared, delta=0.2)


class Branches(Curves):
    def test_a_misprediction_costs_what_is_configured(self):
        for timing in BOTH:
            usual = cycles(timing, "mispredicted=return", settings={"pipeline.mispredict_penalty": 16})
            more = cycles(timing, "mispredicted=return", settings={"pipeline.mispredict_penalty": 17})
            self.same(more - usual, 1, timing)

    def test_what_is_foreseen_costs_no_penalty(self):
        points = ("branch=always", "branch=never", "branch=2", "branch=4", "indirect=16", "call_depth=8")
        for timing in BOTH:
            usual = cycles(timing, *points, settings={"pipeline.mispredict_penalty": 16})
            more = cycles(timing, *points, settings={"pipeline.mispredict_penalty": 116})
            for point, old, new in zip(points, usual, more):
                self.same(new, old, (timing, point))

    def test_random_directions_are_wrong_half_the_time(self):
        usual = cycles("ooo", "branch=random", settings={"pipeline.mispredict_penalty": 16})
        more = cycles("ooo", "branch=random", settings={"pipeline.mispredict_penalty": 116})
        self.assertAlmostEqual((more - usual) / 100, 0.5, delta=0.02)

    def test_the_return_stack_has_as_many_places_as_configured(self):
        for size in (8, 16):
            points = (f"call_depth={size}", f"call_depth={size + 1}")
            usual, more = (cycles("ooo", *points, settings={"pipeline.branch.return_stack": size,
                                                            "pipeline.mispredict_penalty": penalty})
                           for penalty in (16, 116))
            self.same(more[0], usual[0], size)
            self.assertAlmostEqual((more[1] - usual[1]) * (size + 1), 100, delta=0.05, msg=size)

    def test_the_target_buffer_has_as_many_entries_as_configured(self):
        points = ("jumps=256", "jumps=1024")
        usual, more = (cycles("ooo", *points, settings={"pipeline.branch.target_entries": 512,
                                                        "pipeline.redirect_penalty": penalty}) for penalty in (4, 5))
        self.same(more[0], usual[0])
        self.same(more[1] - usual[1], 1)


# Chains of the table in guests/micro/kernels.S, and the kind of work of which each is one.
CLASS_OF = {
    "add": "integer", "imul": "multiply", "div": "divide", "lea": "lea", "shift": "shift", "paddd": "vector_integer",
    "pmuludq": "vector_multiply", "shufps": "vector_shuffle", "addps": "float_add", "mulps": "float_multiply",
    "fma": "float_fma", "divps": "float_divide", "sqrtps": "float_root", "cvt": "float_convert", "aesenc": "crypto",
    "pclmul": "crypto", "fadd": "x87_add", "fmul": "x87_multiply", "fdiv": "x87_divide",
}


class Instructions(Curves):
    def test_a_chain_takes_the_latency_of_its_class(self):
        """All classes at once, each with a latency of its own."""
        classes = sorted(set(CLASS_OF.values()))
        latencies = {name: 2 + i for i, name in enumerate(classes)}
        settings = {f"pipeline.classes.{name}.latency": latency for name, latency in latencies.items()}
        settings.update({f"pipeline.classes.{name}.interval": 1 for name in classes})
        points = [f"latency={name}" for name in CLASS_OF]
        for timing in BOTH:
            for point, value in zip(CLASS_OF, cycles(timing, *points, settings=settings)):
                # In order, the end of a block may cost a chain a cycle.
                delta = 0.0011 if timing == "ooo" else 1 / 48 + 0.001
                self.assertAlmostEqual(value, latencies[CLASS_OF[point]], delta=delta, msg=(timing, point))

    def test_a_stream_takes_the_interval_of_its_class_on_one_port(self):
        streams = [name for name in CLASS_OF if name not in ("add", "lea", "shift", "div", "fdiv", "fadd", "fmul")]
        classes = sorted({CLASS_OF[name] for name in streams})
        intervals = {name: 2 + i % 5 for i, name in enumerate(classes)}
        settings = {}
        for name in classes:
            settings[f"pipeline.classes.{name}.interval"] = intervals[name]
            settings[f"pipeline.classes.{name}.latency"] = 6
            settings[f"pipeline.classes.{name}.ports"] = "5"
        points = [f"throughput={name}" for name in streams]
        for point, value in zip(streams, cycles("ooo", *points, settings=settings)):
            self.same(value, intervals[CLASS_OF[point]], point)

    def test_a_stream_is_shared_among_the_ports_of_its_class(self):
        for ports, expected in (("5", 1), ("01", 1 / 2), ("015", 1 / 3)):
            value = cycles("ooo", "throughput=paddd", settings={"pipeline.classes.vector_integer.ports": ports})
            self.same(value, expected, ports)

    def test_nothing_is_faster_than_the_width(self):
        for width in (1, 2, 3, 4):
            nop, add = cycles("ooo", "throughput=nop", "throughput=add", settings={"pipeline.width": width})
            self.assertAlmostEqual(nop, 1 / width, delta=0.005, msg=width)
            self.assertAlmostEqual(add, 1 / width, delta=0.005, msg=width)

    def test_loads_and_stores(self):
        load, store, chain = cycles("ooo", "throughput=load", "throughput=store", "latency=load")
        self.same(load, 1 / 2)
        self.same(store, 1)
        self.same(chain, L1)

    def test_a_forwarded_store_takes_its_latency(self):
        for latency in (5, 6):
            self.same(cycles("ooo", "latency=store_forward", settings={"pipeline.forward_latency": latency}), latency)


class Parallelism(Curves):
    FAR = "far=4194304"

    def test_chases_overlap_as_far_as_there_are_miss_registers(self):
        """A step of a chase is a load from memory and a forwarded store."""
        for registers in (4, 8):
            settings = {"caches.l1d.mshrs": registers, "pipeline.forward_latency": 5}
            one, full, four_times = cycles("ooo", self.FAR, "parallel_chases=1", f"parallel_chases={registers}",
                                           f"parallel_chases={4 * registers}", settings=settings)
            self.same(one, DRAM + 5)
            self.assertAlmostEqual(full / one, 1, delta=0.08, msg=registers)
            self.assertAlmostEqual(four_times / (4 * DRAM), 1, delta=0.06, msg=registers)

    def test_in_order_they_do_not_overlap(self):
        one, four = cycles("inorder", self.FAR, "parallel_chases=1", "parallel_chases=4")
        self.assertAlmostEqual((four - one) / 3, DRAM + L1, delta=0.1)

    def test_rows_of_memory(self):
        """A chase along a row hits it, but for its first line; one from row to row of a bank never does."""
        settings = {"caches.dram.open_page": "true", "caches.dram.bank_hash": "false", "caches.dram.channels": 1,
                    "caches.dram.banks": 8, "caches.dram.row_size": 8192, "caches.dram.ras": 10000}
        along, across = cycles("ooo", self.FAR, "stride_latency=64", "stride_latency=65536", settings=settings)
        hit, conflict = DRAM - 20, DRAM + 20
        self.same(along, (127 * hit + conflict) / 128)
        self.same(across, conflict)

    def test_a_prefetcher_hides_what_it_foresees(self):
        none, ahead = (cycles("ooo", self.FAR, "stride_latency=64",
                              settings={"caches.l2.prefetcher.kind": kind, "caches.l2.prefetcher.degree": 2,
                                        "caches.l2.prefetcher.distance": 8}) for kind in ("none", "streamer"))
        self.same(none, DRAM)
        self.assertLess(ahead, DRAM / 2)


class Coherence(Curves):
    TWO = {"machine.cores": 2, "caches.coherence.transfer_dirty": 30, "caches.coherence.upgrade": 50,
           "caches.coherence.invalidation": 20}

    def test_a_modified_line_comes_from_the_other_core(self):
        self.same(cycles("ooo", "remote=modified_load", settings=self.TWO), L3 + 30)

    def test_a_cycle_more_for_the_transfer(self):
        more = cycles("ooo", "remote=modified_load", settings={**self.TWO, "caches.coherence.transfer_dirty": 31})
        self.same(more, L3 + 31)


class OnTheHost(unittest.TestCase):
    def test_the_host_program_prints_the_same_points(self):
        words = ("latency=add", "latency=imul", "load_latency=4096", "branch=always")
        process = subprocess.run([GUESTS / "micro_host", *words], capture_output=True, text=True, timeout=60, check=True)
        points = [line.rsplit(" ", 1)[0].replace(" ", "=") for line in process.stdout.splitlines()]
        self.assertEqual(sorted(points), sorted(words))


if __name__ == "__main__":
    bunshin_process.main()
