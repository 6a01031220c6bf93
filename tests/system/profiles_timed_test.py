"""Debian's kernels in the timed modes on some of the processor profiles: to power-off, with the same results."""

import unittest

import bunshin_process
import profiles_test


class Timed(profiles_test.Boots):
    def test_haswell_out_of_order(self):
        self.works(profiles_test.boot("haswell", timing="ooo"))

    def test_zen2_out_of_order(self):
        self.works(profiles_test.boot("zen2", timing="ooo"))

    def test_merom_in_order(self):
        self.works(profiles_test.boot("merom", timing="inorder"))

    def test_northwood_in_order_with_a_32_bit_kernel(self):
        self.works(profiles_test.boot("p4-northwood", "686", "inorder"))


if __name__ == "__main__":
    bunshin_process.main()
