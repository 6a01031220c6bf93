// The differentiated system description table (ACPI 6.4, ch. 5.2.11.1): what an operating system cannot find out by
// asking the hardware. Addresses are those of devices/tlm/pc.h; devices/acpi_tables.h repeats the ones it shares.

DefinitionBlock ("dsdt.aml", "DSDT", 2, "BUNSHN", "BUNSHIN", 1)
{
    Scope (\)
    {
        // Sleep type 0 is S5 (devices/acpi_pm.h).
        Name (\_S5, Package (4) { Zero, Zero, Zero, Zero })

        // 1: the operating system uses the IOAPIC (5.8.1).
        Name (PICM, Zero)
        Method (\_PIC, 1, NotSerialized) { PICM = Arg0 }
    }

    Scope (\_SB)
    {
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A08"))
            Name (_CID, EisaId ("PNP0A03"))
            Name (_UID, Zero)
            Name (_BBN, Zero)
            Name (_CRS, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 0xFF, 0, 0x100)
                IO (Decode16, 0x0CF8, 0x0CF8, 1, 8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0, 0x0CF7, 0, 0x0CF8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0x0D00, 0xFFFF, 0, 0xF300)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
                             0, 0x000A0000, 0x000BFFFF, 0, 0x00020000)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                             0, 0xC0000000, 0xDFFFFFFF, 0, 0x20000000)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                             0, 0xF0000000, 0xFEBFFFFF, 0, 0x0EC00000)
            })

            // Pin p of device d drives PIRQ (d + p) mod 8: IOAPIC input 16 + PIRQ, or, as firmware routed it to the
            // PIC, IRQ 10 for even and 11 for odd lines.
            Method (_PRT, 0, Serialized)
            {
                Local0 = Package (128) {}
                Local1 = Zero
                While (Local1 < 128)
                {
                    Local2 = Local1 >> 2
                    Local3 = Local1 & 3
                    Local4 = (Local2 + Local3) & 7
                    If (PICM) { Local5 = Local4 + 16 }
                    Else { Local5 = 10 + (Local4 & 1) }
                    Local6 = Package (4) { Zero, Zero, Zero, Zero }
                    Local6 [0] = (Local2 << 16) | 0xFFFF
                    Local6 [1] = Local3
                    Local6 [3] = Local5
                    Local0 [Local1] = Local6
                    Local1++
                }
                Return (Local0)
            }

            // The configuration window and the chips' registers, so that nobody places anything there.
            Device (MBRD)
            {
                Name (_HID, EisaId ("PNP0C02"))
                Name (_UID, One)
                Name (_CRS, ResourceTemplate ()
                {
                    Memory32Fixed (ReadWrite, 0xE0000000, 0x10000000)
                    Memory32Fixed (ReadWrite, 0xFEC00000, 0x00001000)
                    Memory32Fixed (ReadWrite, 0xFEE00000, 0x00001000)
                    IO (Decode16, 0x0600, 0x0600, 1, 0x80)
                    IO (Decode16, 0x00B2, 0x00B2, 1, 2)
                    IO (Decode16, 0x04D0, 0x04D0, 1, 2)
                    IO (Decode16, 0x0092, 0x0092, 1, 1)
                    IO (Decode16, 0x0510, 0x0510, 1, 12)
                })
            }

            Device (ISA)
            {
                Name (_ADR, 0x001F0000)

                Device (RTC)
                {
                    Name (_HID, EisaId ("PNP0B00"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0070, 0x0070, 1, 2)
                        IRQNoFlags () { 8 }
                    })
                }

                Device (KBD)
                {
                    Name (_HID, EisaId ("PNP0303"))
                    Name (_STA, 0x0F)
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0060, 0x0060, 1, 1)
                        IO (Decode16, 0x0064, 0x0064, 1, 1)
                        IRQNoFlags () { 1 }
                    })
                }

                Device (COM1)
                {
                    Name (_HID, EisaId ("PNP0501"))
                    Name (_UID, One)
                    Name (_STA, 0x0F)
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x03F8, 0x03F8, 1, 8)
                        IRQNoFlags () { 4 }
                    })
                }

                Device (TIMR)
                {
                    Name (_HID, EisaId ("PNP0100"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0040, 0x0040, 1, 4)
                        IRQNoFlags () { 0 }
                    })
                }
            }
        }
    }
}
