#include "tests/fuzz/hostile_world.h"

#include <vector>

namespace bunshin::fuzz {

using namespace layout;

namespace {

constexpr u64 page = 0x1000, apic = 0xfee0'0000;

using Phrase = std::vector<u8>;
const Phrase guest_phrases[] = {
    {0x0f, 0xa2},                    // cpuid
    {0x0f, 0x01, 0xc1},              // vmcall
    {0x0f, 0x01, 0xd9},              // vmmcall
    {0xe4, 0x80},                    // in al, 80h
    {0xee},                          // out dx, al
    {0xf3, 0x6e},                    // rep outsb
    {0x6d},                          // insd
    {0x0f, 0x32},                    // rdmsr
    {0x0f, 0x30},                    // wrmsr
    {0x0f, 0x20, 0xd8},              // mov rax, cr3
    {0x0f, 0x22, 0xd8},              // mov cr3, rax
    {0x0f, 0x22, 0xc0},              // mov cr0, rax
    {0x0f, 0x20, 0xc0},              // mov rax, cr0
    {0x0f, 0x22, 0xe0},              // mov cr4, rax
    {0x44, 0x0f, 0x22, 0xc0},        // mov cr8, rax
    {0x44, 0x0f, 0x20, 0xc0},        // mov rax, cr8
    {0x0f, 0x06},                    // clts
    {0x0f, 0x01, 0xf0},              // lmsw ax
    {0x0f, 0x23, 0xf8},              // mov dr7, rax
    {0x0f, 0x21, 0xf0},              // mov rax, dr6
    {0xcd, 0x03},                    // int 3
    {0xcd, 0x80},                    // int 80h
    {0xcc},                          // int3
    {0xf1},                          // int1
    {0xfb, 0xf4},                    // sti; hlt
    {0xfa},                          // cli
    {0x8e, 0xd0},                    // mov ss, eax
    {0x0f, 0x0b},                    // ud2
    {0xf7, 0xf0},                    // div eax
    {0x8b, 0x07},                    // mov eax, [rdi]
    {0x89, 0x07},                    // mov [rdi], eax
    {0x48, 0xff, 0xe7},              // jmp rdi
    {0x0f, 0x01, 0xd8},              // vmrun
    {0x0f, 0x01, 0xda},              // vmload
    {0x0f, 0x01, 0xdb},              // vmsave
    {0x0f, 0x01, 0xdc},              // stgi
    {0x0f, 0x01, 0xdd},              // clgi
    {0x0f, 0x01, 0xdf},              // invlpga
    {0x0f, 0x01, 0xd4},              // vmfunc
    {0x0f, 0x78, 0xd0},              // vmread
    {0x0f, 0x79, 0xd0},              // vmwrite
    {0x0f, 0x01, 0xc3},              // vmresume
    {0x0f, 0xc7, 0x37},              // vmptrld [rdi]
    {0x66, 0x0f, 0x38, 0x80, 0x07},  // invept
    {0x66, 0x0f, 0x38, 0x81, 0x07},  // invvpid
    {0x66, 0x0f, 0x38, 0x82, 0x07},  // invpcid
    {0x0f, 0x31},                    // rdtsc
    {0x0f, 0x01, 0xf9},              // rdtscp
    {0x0f, 0x33},                    // rdpmc
    {0x0f, 0xc7, 0xf0},              // rdrand
    {0x0f, 0xc7, 0xf8},              // rdseed
    {0xf3, 0x90},                    // pause
    {0xf3, 0x90, 0xeb, 0xfc},        // pause; jmp back
    {0x0f, 0x01, 0xc8},              // monitor
    {0x0f, 0x01, 0xc9},              // mwait
    {0x0f, 0x01, 0x3f},              // invlpg [rdi]
    {0x0f, 0x08},                    // invd
    {0x0f, 0x09},                    // wbinvd
    {0x0f, 0x01, 0xd1},              // xsetbv
    {0x0f, 0x01, 0x17},              // lgdt [rdi]
    {0x0f, 0x01, 0x0f},              // sidt [rdi]
    {0x0f, 0x00, 0xd8},              // ltr ax
    {0x0f, 0x00, 0xd0},              // lldt ax
    {0x0f, 0x00, 0xc8},              // str ax
    {0x9c},                          // pushf
    {0x9d},                          // popf
    {0xcf},                          // iret
    {0x48, 0xcf},                    // iretq
    {0xea, 0, 0, 0, 0, 0x28, 0},     // jmp to a task
    {0xbf, 0x00, 0x90, 0x01, 0x00},  // mov edi, the APIC-access page
    {0xbf, 0x00, 0x00, 0x05, 0x00},  // mov edi, its own tables
    {0xbf, 0x00, 0x03, 0xe0, 0xfe},  // mov edi, the local APIC's command register
    {0xb8, 0x51, 0x40, 0x04, 0x00},  // mov eax, an interrupt to itself
    {0xb8, 0x00, 0x44, 0x00, 0x00},  // mov eax, an NMI
    {0xb8, 0x00, 0x45, 0x00, 0x00},  // mov eax, an INIT
    {0x31, 0xc0},                    // xor eax, eax
    {0x31, 0xc9},                    // xor ecx, ecx
    {0xb9, 0x80, 0x00, 0x00, 0xc0},  // mov ecx, EFER
    {0xb9, 0x08, 0x08, 0x00, 0x00},  // mov ecx, the TPR of the x2APIC
};

}  // namespace

void HostileWorld::bytes(u64 address, std::span<const u8> data) { memory_.write(HostPhysical(address), data); }

void HostileWorld::change(u64 base, u64 size, unsigned count) {
  for (unsigned n = input_.byte() % (count + 1); n != 0; --n) {
    const u64 at = base + (input_.word() % size & ~u64{7});
    const u64 value = input_.number(1 + input_.byte() % 8);
    u64 old = 0;
    memory_.read(HostPhysical(at), std::span<u8>(reinterpret_cast<u8*>(&old), 8));
    put<u64>(at, input_.byte() % 2 == 0 ? value : old ^ value);
  }
}

/// The lowest GiB onto itself, and the local APIC's page where it is.
void HostileWorld::paging_tables() {
  for (const u64 root : {host_tables, guest_pages}) {
    put<u64>(root, root + page + 7);
    put<u64>(root + page, root + 2 * page + 7);
    put<u64>(root + page + 8 * 3, root + 3 * page + 7);
    for (u64 i = 0; i < 512; ++i) put<u64>(root + 2 * page + i * 8, i << 21 | 0xe7);
    put<u64>(root + 3 * page + (apic >> 21 & 511) * 8, (apic & ~u64{0x1f'ffff}) | 0xe7);
  }
  put<u64>(pae_pages, pae_pages + page + 1);
  for (u64 i = 0; i < 512; ++i) put<u64>(pae_pages + page + i * 8, i << 21 | 0xe7);
}

/// 08H: 64-bit code, 10H: data, 18H: 32-bit code, 20H: data of level 3, 28H: a task, 38H: 64-bit code of level 3; every gate leads
/// into the guest's code.
void HostileWorld::descriptors() {
  put<u64>(gdt + 0x08, 0x00af'9b00'0000'ffff);
  put<u64>(gdt + 0x10, 0x00cf'9300'0000'ffff);
  put<u64>(gdt + 0x18, 0x00cf'9b00'0000'ffff);
  put<u64>(gdt + 0x20, 0x00cf'f300'0000'ffff);
  put<u64>(gdt + 0x28, 0x0000'8900'0000'0067 | (task & 0xff'ffff) << 16);
  put<u64>(gdt + 0x38, 0x00af'fb00'0000'ffff);
  for (u64 vector = 0; vector < 256; ++vector) {
    const u64 entry = guest_code + vector % 64 * 8;
    const u64 gate = (entry & 0xffff) | (entry & 0xffff'0000) << 32 | u64{0xee00} << 32;
    put<u64>(idt + vector * 16, gate | u64{0x8} << 16);
    put<u64>(idt + vector * 16 + 8, 0);
    put<u32>(vectors16 + vector * 4, static_cast<u32>(guest_code >> 4) << 16 | static_cast<u32>(vector % 64 * 8));
  }
  put<u32>(task + 4, static_cast<u32>(guest_stack));
}

void HostileWorld::tables(u64 rights, u64 leaf) {
  paging_tables();
  descriptors();
  put<u64>(nested, nested + page + rights);
  put<u64>(nested + page, nested + 2 * page + rights);
  put<u64>(nested + page + 8 * 3, nested + 4 * page + rights);
  put<u64>(nested + 4 * page + (apic >> 21 & 511) * 8, (apic & ~u64{0x1f'ffff}) | 0x80 | rights | leaf);
  put<u64>(nested + 2 * page, nested + 3 * page + rights);
  for (u64 i = 1; i < 512; ++i) put<u64>(nested + 2 * page + i * 8, i << 21 | 0x80 | rights | leaf);
  for (u64 i = 0; i < 512; ++i) put<u64>(nested + 3 * page + i * 8, i << 12 | rights | leaf);
  change(nested, 0x4000, 3);
  change(maps, 0x6000, 6);
  change(pages, 0x7000, 4);
  change(gdt, 0x2000, 3);
  change(guest_pages, 0x6000, 2);
}

void HostileWorld::guest_instructions() {
  u64 at = guest_code;
  while (at < guest_code + 512 && !input_.empty()) {
    const u8 kind = input_.byte();
    const std::size_t known = std::size(guest_phrases);
    const std::span<const u8> own =
        kind < 192 ? std::span<const u8>(guest_phrases[kind % known]) : input_.take(1 + kind % 7);
    bytes(at, own);
    at += own.size();
  }
  bytes(at, {0x0f, 0xa2, 0xeb, 0xfc});  // cpuid, for ever
}

void HostileWorld::host_instructions(u64 at, std::span<const std::span<const u8>> phrases) {
  constexpr u64 room = 64;
  constexpr u8 nop = 0x90;
  for (u64 i = 0; i < room; ++i) put<u8>(at + i, nop);
  for (unsigned i = 0; i < 3; ++i) {
    const u8 which = input_.byte();
    if (which >= 2 * phrases.size()) continue;
    const std::span<const u8> phrase = phrases[which % phrases.size()];
    bytes(at, phrase);
    at += phrase.size();
  }
}

}  // namespace bunshin::fuzz
