#pragma once

// SVM's instructions (AMD APM vol. 3, ch. 4), in the form that core/decode/bind.h wants.

#include "core/cpu.h"

namespace bunshin::semantics {

bool vmrun(Cpu& cpu, const Record& r);
bool vmload(Cpu& cpu, const Record& r);
bool vmsave(Cpu& cpu, const Record& r);
bool vmmcall(Cpu& cpu, const Record& r);
bool stgi(Cpu& cpu, const Record& r);
bool clgi(Cpu& cpu, const Record& r);
bool invlpga(Cpu& cpu, const Record& r);
bool skinit(Cpu& cpu, const Record& r);

}  // namespace bunshin::semantics
