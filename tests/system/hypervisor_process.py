"""Boots the project's own hypervisor on the simulated machine: what its tests share."""

import pathlib
import tempfile

from bunshin_process import GUESTS, SOURCE, run

IMAGE = GUESTS.parent / "vmm-model/bunshin-vmm.elf"
IMAGE_32 = GUESTS.parent / "vmm-model/bunshin-vmm32.elf"


def guest(name, kernel, **keys):
    """A section of the hypervisor's configuration."""
    lines = [f"[guest {name}]", f"kernel = {pathlib.Path(kernel).name}"]
    return "\n".join(lines + [f"{key} = {value}" for key, value in keys.items()]) + "\n"


def run_machine(cpu, loader, settings, timeout=120, options=("--timing", "none")):
    """A run of a PC with this processor."""
    with tempfile.TemporaryDirectory() as folder:
        machine = pathlib.Path(folder) / "machine.yaml"
        machine.write_text(f"include: [{SOURCE}/configs/platform/pc.yaml, {SOURCE}/configs/cpu/{cpu}.yaml]\n"
                           f"guest:\n  loader: {loader}\n")
        return run(machine, settings, options=options, timeout=timeout)


def run_hypervisor(cpu, configuration, *modules, memory="256MiB", image=IMAGE, settings=None, **how):
    """The same with the hypervisor, whose configuration is this text; the other modules are files."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "vmm.cfg"
        file.write_text(configuration)
        return run_machine(cpu, "multiboot", {"guest.kernel": image, "devices.com2": "true", "machine.memory": memory,
                                              "guest.initrd": "[" + ",".join(map(str, (file, *modules))) + "]",
                                              **(settings or {})}, **how)
