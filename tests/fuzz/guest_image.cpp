#include "tests/fuzz/guest_image.h"

#include <vector>

namespace bunshin::fuzz {

namespace {

// Where everything lies; all below 64 KiB so that a table patch's 16-bit address reaches it, but for code and data.
constexpr u64 gdt = 0x1000, idt = 0x2000, tss = 0x3000, tss_bytes = 0x400, tss_io_map = 0x100;
constexpr u64 pml4 = 0x8000, pdpt = 0x9000, directory = 0xa000, table = 0xb000;
constexpr u64 directory32 = 0xc000, table32 = 0xd000, pdpt_pae = 0xe000;
constexpr u64 code = 0x10000, code_limit = 0x1000, handlers = 0x20000, handler_bytes = 16;
constexpr u64 data = 0x30000, stacks = 0x70000, stack_bytes = 0x4000;
constexpr unsigned vectors = 256;

// Selectors of the table below.
constexpr u16 code32 = 0x08, data32 = 0x10, code64 = 0x18, user_code64 = 0x23, user_data = 0x2b, code16 = 0x30,
              data16 = 0x38, user_code32 = 0x43, tss_selector = 0x50, call_gate = 0x60, task_gate = 0x70;
constexpr u32 attributes_code32 = 0xc09b, attributes_data32 = 0xc093, attributes_code64 = 0xa09b;
constexpr u32 attributes_user_code64 = 0xa0fb, attributes_user_data = 0xc0f3, attributes_user_code32 = 0xc0fb;
constexpr u32 attributes_code16 = 0x9b, attributes_data16 = 0x93, attributes_v86 = 0xf3, busy_tss = 0x8b;

class Writer {
 public:
  explicit Writer(PhysicalMemory& memory) : memory_(memory) {}
  void put(u64 address, u64 value, unsigned size) {
    std::array<u8, 8> bytes{};
    for (unsigned i = 0; i < size; ++i) bytes[i] = static_cast<u8>(value >> (8 * i));
    memory_.write(HostPhysical(address), std::span<const u8>(bytes).first(size));
  }
  void put(u64 address, std::span<const u8> bytes) { memory_.write(HostPhysical(address), bytes); }

 private:
  PhysicalMemory& memory_;
};

constexpr bool is_long(GuestMode mode) {
  return mode == GuestMode::Compatibility || mode == GuestMode::Long || mode == GuestMode::LongUser;
}

/// SDM vol. 3, figure 3-8.
constexpr u64 descriptor(u32 attributes, u64 base, u64 limit) {
  return (limit & 0xffff) | (base & 0xffffff) << 16 | u64{attributes & 0xff} << 40 | (limit >> 16 & 0xf) << 48 |
         u64{attributes >> 12 & 0xf} << 52 | (base >> 24 & 0xff) << 56;
}

/// Figure 6-2; the upper half of a 64-bit gate is zero, as all handlers lie low.
constexpr u64 gate(u16 selector, u64 offset, u8 type_and_dpl) {
  return (offset & 0xffff) | u64{selector} << 16 | u64{type_and_dpl} << 40 | (offset >> 16 & 0xffff) << 48;
}

void write_gdt(Writer& w, bool in_long_mode) {
  constexpr u64 all = 0xfffff;
  w.put(gdt + code32, descriptor(attributes_code32, 0, all), 8);
  w.put(gdt + data32, descriptor(attributes_data32, 0, all), 8);
  w.put(gdt + code64, descriptor(attributes_code64, 0, all), 8);
  w.put(gdt + (user_code64 & ~7u), descriptor(attributes_user_code64, 0, all), 8);
  w.put(gdt + (user_data & ~7u), descriptor(attributes_user_data, 0, all), 8);
  w.put(gdt + code16, descriptor(attributes_code16, 0, 0xffff), 8);
  w.put(gdt + data16, descriptor(attributes_data16, 0, 0xffff), 8);
  w.put(gdt + (user_code32 & ~7u), descriptor(attributes_user_code32, 0, all), 8);
  w.put(gdt + tss_selector, descriptor(busy_tss, tss, tss_bytes - 1), 8);
  w.put(gdt + call_gate, gate(in_long_mode ? code64 : code32, code + 0x80, 0xec), 8);
  w.put(gdt + task_gate, gate(0x80, 0, 0xe5), 8);
  w.put(gdt + 0x80, descriptor(0x89, tss + 2 * tss_bytes, tss_bytes - 1), 8);
}

void write_idt(Writer& w, GuestMode mode) {
  const bool in_long_mode = is_long(mode);
  for (unsigned v = 0; v < vectors; ++v) {
    const u64 handler = handlers + handler_bytes * v;
    // Software may call some of them from user mode.
    const u8 type = static_cast<u8>((v == 3 || v >= 0x80 ? 0xe0 : 0x80) | (v % 2 == 0 ? 0xe : 0xf));
    if (mode == GuestMode::Real) {
      w.put(4 * v, handlers >> 4 << 16 | handler_bytes * v, 4);
    } else if (in_long_mode) {
      w.put(idt + 16 * v, gate(code64, handler, type), 8);
    } else {
      w.put(idt + 8 * v, gate(mode == GuestMode::Protected16 ? code16 : code32, handler, type), 8);
    }
  }
}

/// Each handler takes its error code off the stack and returns.
void write_handlers(Writer& w, GuestMode mode) {
  constexpr u32 with_error_code = 1u << 8 | 0xfu << 10 | 1u << 14 | 1u << 17 | 1u << 21;
  constexpr u8 drop64[] = {0x48, 0x83, 0xc4, 0x08}, drop32[] = {0x83, 0xc4, 0x04};
  constexpr u8 iret64[] = {0x48, 0xcf}, iret[] = {0xcf};
  for (unsigned v = 0; v < vectors; ++v) {
    u64 at = handlers + handler_bytes * v;
    if (mode != GuestMode::Real && v < 32 && (with_error_code >> v & 1) != 0) {
      const std::span<const u8> drop = is_long(mode) ? std::span<const u8>(drop64) : std::span<const u8>(drop32);
      w.put(at, drop);
      at += drop.size();
    }
    w.put(at, is_long(mode) ? std::span<const u8>(iret64) : std::span<const u8>(iret));
  }
}

/// The stacks for lower rings, a back link of 0, and an I/O map that permits all ports.
void write_task_states(Writer& w, bool in_long_mode) {
  for (unsigned task = 0; task < 3; ++task) {
    const u64 at = tss + task * tss_bytes, stack = stacks + (task + 3) * stack_bytes;
    if (in_long_mode) {
      for (unsigned field = 0; field < 10; ++field) w.put(at + 4 + 8 * field, stack, 8);
    } else {
      for (unsigned ring = 0; ring < 3; ++ring) {
        w.put(at + 4 + 8 * ring, stack, 4);
        w.put(at + 8 + 8 * ring, data32, 4);
      }
      w.put(at + 0x1c, directory32, 4);
      w.put(at + 0x20, code + 0x40, 4);
      w.put(at + 0x24, 2, 4);
      w.put(at + 0x38, stack, 4);
      for (unsigned segment = 0; segment < 6; ++segment)
        w.put(at + 0x48 + 4 * segment, segment == 1 ? code32 : data32, 4);
    }
    w.put(at + 0x66, tss_io_map, 2);
  }
}

/// A guest that changes a table entry and does not say so may run on under either one, and does: within a block under
/// the old one. So the tables themselves are not mapped.
constexpr bool is_table_page(u64 page) { return page >= pml4 >> 12 && page <= pdpt_pae >> 12; }

/// Identity everywhere: the first 2 MiB in pages of 4 KiB, some MiB in large pages, in long mode the devices too.
void write_page_tables(Writer& w) {
  constexpr u64 rights = 7, large = 0x80;
  w.put(pml4, pdpt | rights, 8);
  w.put(pml4 + 8 * 511, pdpt | rights, 8);
  w.put(pdpt, directory | rights, 8);
  w.put(pdpt + 8 * 3, u64{3} << 30 | rights | large, 8);
  w.put(pdpt_pae, directory | 1, 8);
  w.put(directory, table | rights, 8);
  for (u64 i = 1; i < 8; ++i) w.put(directory + 8 * i, i << 21 | rights | large, 8);
  w.put(directory32, table32 | rights, 4);
  for (u64 i = 1; i < 4; ++i) w.put(directory32 + 4 * i, i << 22 | rights | large, 4);
  w.put(directory32 + 4 * 0x3fb, u64{0xfec0'0000} | rights | large, 4);
  for (u64 i = 0; i < 512; ++i) w.put(table + 8 * i, is_table_page(i) ? 0 : i << 12 | rights, 8);
  for (u64 i = 0; i < 1024; ++i) w.put(table32 + 4 * i, is_table_page(i) ? 0 : i << 12 | rights, 4);
}

/// Instructions that random bytes seldom make, with fields that the input fills (the number of bytes behind each).
struct Phrase {
  std::array<u8, 6> bytes;
  u8 length;
  u8 filled;
};
constexpr Phrase phrases[] = {
    {{0x0f, 0x30}, 2, 0},                    // wrmsr
    {{0x0f, 0x32}, 2, 0},                    // rdmsr
    {{0xb9}, 1, 4},                          // mov ecx, imm32
    {{0xb9, 0x80, 0x00, 0x00, 0xc0}, 5, 0},  // mov ecx, EFER
    {{0xb9, 0x1b, 0x00, 0x00, 0x00}, 5, 0},  // mov ecx, IA32_APIC_BASE
    {{0xb9}, 1, 1},                          // mov ecx, an x2APIC MSR: 8xxh follows below
    {{0xb8}, 1, 4},                          // mov eax, imm32
    {{0x31, 0xd2}, 2, 0},                    // xor edx, edx
    {{0x0f, 0x22, 0xc0}, 3, 0},              // mov cr0, eax
    {{0x0f, 0x22, 0xd8}, 3, 0},              // mov cr3, eax
    {{0x0f, 0x22, 0xe0}, 3, 0},              // mov cr4, eax
    {{0x0f, 0x20}, 2, 1},                    // mov r, cr
    {{0x0f, 0x23}, 2, 1},                    // mov dr, r
    {{0x0f, 0x01}, 2, 1},                    // lgdt, lidt, invlpg, lmsw, swapgs …
    {{0x0f, 0x00}, 2, 1},                    // ltr, lldt, verr …
    {{0x0f, 0xae}, 2, 1},                    // fxsave, xsave, ldmxcsr …
    {{0x0f, 0xc7}, 2, 1},                    // cmpxchg8b, rdrand …
    {{0xcd}, 1, 1},                          // int n
    {{0xcf}, 1, 0},                          // iret
    {{0x48, 0xcf}, 2, 0},                    // iretq
    {{0x9d}, 1, 0},                          // popf
    {{0x9c}, 1, 0},                          // pushf
    {{0xfb}, 1, 0},                          // sti
    {{0xf4}, 1, 0},                          // hlt
    {{0x0f, 0x05}, 2, 0},                    // syscall
    {{0x48, 0x0f, 0x07}, 3, 0},              // sysret
    {{0x0f, 0x34}, 2, 0},                    // sysenter
    {{0x0f, 0x35}, 2, 0},                    // sysexit
    {{0x66, 0xba}, 2, 2},                    // mov dx, port
    {{0xee}, 1, 0},                          // out dx, al
    {{0xef}, 1, 0},                          // out dx, eax
    {{0xed}, 1, 0},                          // in eax, dx
    {{0xe6}, 1, 1},                          // out imm8, al
    {{0xf3, 0x6d}, 2, 0},                    // rep insd
    {{0xf3, 0x6e}, 2, 0},                    // rep outsb
    {{0xf3, 0xa4}, 2, 0},                    // rep movsb
    {{0xf3, 0x48, 0xa5}, 3, 0},              // rep movsq
    {{0xf3, 0xab}, 2, 0},                    // rep stosd
    {{0xbf}, 1, 4},                          // mov edi, imm32
    {{0xbe}, 1, 4},                          // mov esi, imm32
    {{0xbf, 0x00, 0x00}, 3, 2},              // mov edi, an address whose upper half the input chooses
    {{0xc7, 0x05}, 2, 8},                    // mov dword [disp32], imm32
    {{0xc6, 0x05}, 2, 5},                    // mov byte [disp32], imm8
    {{0xf0, 0x0f, 0xc1, 0x05}, 4, 4},        // lock xadd [disp32], eax
    {{0xea}, 1, 6},                          // jmp far
    {{0x9a}, 1, 6},                          // call far
    {{0xcb}, 1, 0},                          // retf
    {{0x8e}, 1, 1},                          // mov sreg, r
    {{0x0f, 0x08}, 2, 0},                    // invd
    {{0x66, 0x0f, 0x38, 0x82}, 4, 1},        // invpcid
    {{0xeb}, 1, 1},                          // jmp short
    {{0xe2}, 1, 1},                          // loop
    {{0x75}, 1, 1},                          // jnz
    {{0xc4}, 1, 5},                          // VEX
    {{0xc5}, 1, 4},
    {{0x0f, 0x0b}, 2, 0},        // ud2
    {{0x0f, 0x01, 0xc8}, 3, 0},  // monitor
    {{0x0f, 0x01, 0xc9}, 3, 0},  // mwait
    {{0x0f, 0x01, 0xd1}, 3, 0},  // xsetbv
};
constexpr u8 phrase_escape = 0xd6;  // an opcode that is undefined in 64-bit mode, and of little use elsewhere

std::vector<u8> read_code(Input& input, std::size_t limit) {
  std::vector<u8> bytes;
  while (!input.empty() && bytes.size() < limit) {
    const u8 byte = input.byte();
    if (byte != phrase_escape) {
      bytes.push_back(byte);
      continue;
    }
    const Phrase& phrase = input.pick(phrases);
    bytes.insert(bytes.end(), phrase.bytes.begin(), phrase.bytes.begin() + phrase.length);
    for (unsigned i = 0; i < phrase.filled; ++i) bytes.push_back(input.byte());
  }
  return bytes;
}

/// Behind the code, so that a guest does not run away through empty memory.
void put_jump_back(Writer& w, GuestMode mode, u64 code_bytes) {
  const bool sixteen = mode == GuestMode::Real || mode == GuestMode::Virtual8086 || mode == GuestMode::Protected16;
  const unsigned offset_bytes = sixteen ? 2 : 4;
  w.put(code + code_bytes, 0xe9, 1);
  w.put(code + code_bytes + 1, ~(code_bytes + offset_bytes), offset_bytes);
}

Segment segment(u16 selector, u32 attributes, u64 base = 0) {
  const bool pages = (attributes & Segment::granularity) != 0;
  return {selector, attributes, pages ? 0xffff'ffffu : 0xffffu, base};
}

struct ModeSegments {
  Segment code, data;
};

ModeSegments segments_of(GuestMode mode) {
  switch (mode) {
    case GuestMode::Real:
      return {segment(code >> 4, attributes_code16, code), segment(data >> 4, attributes_data16, data)};
    case GuestMode::Virtual8086:
      return {segment(code >> 4, attributes_v86, code), segment(data >> 4, attributes_v86, data)};
    case GuestMode::Protected16: return {segment(code16, attributes_code16), segment(data16, attributes_data16)};
    case GuestMode::Long: return {segment(code64, attributes_code64), segment(data32, attributes_data32)};
    case GuestMode::LongUser:
      return {segment(user_code64, attributes_user_code64), segment(user_data, attributes_user_data)};
    case GuestMode::Compatibility:
      return {segment(user_code32, attributes_user_code32), segment(user_data, attributes_user_data)};
    default: return {segment(code32, attributes_code32), segment(data32, attributes_data32)};
  }
}

void set_control_registers(CpuState& s, GuestMode mode, Input& input) {
  const u16 extra = input.word();
  const bool paged = mode != GuestMode::Real && mode != GuestMode::Protected16 && mode != GuestMode::Protected32;
  s.cr0 = cr0::ET | cr0::NE | (mode != GuestMode::Real ? cr0::PE : 0) | (paged ? cr0::PG : 0) |
          ((extra & 1) != 0 ? cr0::WP : 0) | ((extra & 2) != 0 ? cr0::AM : 0) | ((extra & 4) != 0 ? cr0::TS : 0);
  s.cr4 = cr4::PSE | ((extra & 8) == 0 ? cr4::OSFXSR | cr4::OSXMMEXCPT : 0) | ((extra & 0x10) == 0 ? cr4::OSXSAVE : 0) |
          ((extra & 0x20) != 0 ? cr4::VME | cr4::PVI : 0) | ((extra & 0x40) != 0 ? cr4::PGE : 0) |
          ((extra & 0x80) != 0 ? cr4::UMIP : 0) | ((extra & 0x100) != 0 ? cr4::DE : 0) |
          ((extra & 0x200) != 0 ? cr4::FSGSBASE : 0);
  s.xcr0 = 7;
  s.cr3 = directory32;
  if (mode == GuestMode::Pae) {
    s.cr4 |= cr4::PAE;
    s.cr3 = pdpt_pae;
    s.pdpte = {directory | 1, 0, 0, 0};
  }
  s.msr.efer = (extra & 0x400) != 0 ? efer::NXE : 0;
  if (!is_long(mode)) return;
  s.cr3 = pml4;
  s.cr4 |= cr4::PAE | ((extra & 0x800) != 0 ? cr4::PKE : 0) | ((extra & 0x1000) != 0 ? cr4::PCIDE : 0);
  s.msr.efer |= efer::LME | efer::LMA | efer::SCE;
  s.msr.star = u64{code64} << 32 | u64{data32 | 3} << 48;
  s.msr.lstar = code + 0x100;
  s.msr.sfmask = rflags::IF;
}

/// Addresses that something is at, small numbers, extremes, and anything.
u64 read_register(Input& input) {
  constexpr u64 interesting[] = {0,           1,       data,         data + 0xffc,    code,    idt,
                                 gdt,         table,   0xfee0'0000,  0xfec0'0000,     0xb8000, 0x7fff'ffff,
                                 0xffff'ffff, ~u64{0}, u64{1} << 63, 0x8000'0000'0000};
  const u8 how = input.byte();
  if (how < 0x80) return interesting[how % 16] + (how / 16) * 4;
  return input.number(1 + how % 8);
}

void set_state(CpuState& s, const GuestShape& shape, unsigned core, Input& input) {
  const GuestMode mode = shape.mode;
  set_control_registers(s, mode, input);
  for (unsigned i = 0; i < 16; ++i) s.gpr[i] = read_register(input);
  const bool sixteen = mode == GuestMode::Real || mode == GuestMode::Virtual8086;
  s.gpr[RSP] = sixteen ? 0xfff0 - core * stack_bytes : stacks + (core + 1) * stack_bytes;
  s.rip = (sixteen ? 0 : code) + core * 0x40;
  const u64 all_flags = rflags::status | rflags::TF | rflags::IF | rflags::DF | rflags::IOPL | rflags::NT | rflags::AC;
  const u16 flags = input.word();
  // Single-stepped guests are slow: one in eight.
  const u64 wanted =
      (flags & all_flags & ((flags & 0x38) == 0x38 ? ~u64{0} : ~rflags::TF)) | ((flags & 2) != 0 ? rflags::AC : 0);
  s.flags.set_value(wanted | rflags::fixed | (mode == GuestMode::Virtual8086 ? rflags::VM : 0));
  const ModeSegments segments = segments_of(mode);
  s.seg.fill(segments.data);
  s.segment(Seg::CS) = segments.code;
  s.cpl = mode == GuestMode::Virtual8086 ? u8{3} : static_cast<u8>(mode == GuestMode::Real ? 0 : segments.code.rpl());
  s.gdtr = {gdt, 0xfff};
  s.idtr = mode == GuestMode::Real ? TableRegister{0, 0x3ff} : TableRegister{idt, 0xfff};
  s.ldtr = {0, Segment::null, 0, 0};
  s.tr = {tss_selector, busy_tss, tss_bytes - 1, tss + core * tss_bytes};
  s.activity = Activity::Active;
}

}  // namespace

GuestShape read_shape(Input& input) {
  const u8 mode = input.byte(), cores = input.byte();
  return {static_cast<GuestMode>(mode % guest_modes), cores % 4 == 0 ? 2u : 1u};
}

void build_guest(Input& input, const GuestShape& shape, PhysicalMemory& memory, const std::vector<Processor*>& cores) {
  Writer w(memory);
  if (shape.mode != GuestMode::Real) {
    write_gdt(w, is_long(shape.mode));
    write_task_states(w, is_long(shape.mode));
    write_page_tables(w);
  }
  write_idt(w, shape.mode);
  write_handlers(w, shape.mode);
  for (unsigned i = 0; i < cores.size(); ++i) {
    set_state(cores[i]->state(), shape, i, input);
    cores[i]->state_changed();
  }
  for (unsigned patches = input.byte() % 16; patches > 0; --patches) {
    const u64 address = input.word();
    w.put(address, input.take(1 + input.byte() % 8));
  }
  const std::vector<u8> bytes = read_code(input, code_limit);
  w.put(code, bytes);
  put_jump_back(w, shape.mode, bytes.size());
}

}  // namespace bunshin::fuzz
