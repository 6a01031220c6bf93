#!/usr/bin/env python3
"""Prints the files of kernel modules in the order in which insmod can load them.   module_order.py DIRECTORY MODULE...

The packages carry no modules.dep (depmod makes it at installation), so what a module needs is read from the `depends=`
string of its .modinfo section. A module that is not there is taken to be built into the kernel.
"""

import pathlib
import re
import sys


def name_of(file):
    return file.name.split(".ko")[0].replace("-", "_")


def dependencies(file):
    match = re.search(rb"\0depends=([^\0]*)\0", file.read_bytes())
    names = match.group(1).decode() if match else ""
    return [name.replace("-", "_") for name in names.split(",") if name]


def order(directory, wanted):
    files = {name_of(file): file for file in directory.rglob("*.ko")}
    done = []

    def add(name):
        file = files.get(name.replace("-", "_"))
        if file is None or file in done:
            return
        for dependency in dependencies(file):
            add(dependency)
        done.append(file)

    for name in wanted:
        add(name)
    return done


if __name__ == "__main__":
    for module in order(pathlib.Path(sys.argv[1]), sys.argv[2:]):
        print(module)
