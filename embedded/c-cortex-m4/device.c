/* Start-up code for a Cortex-M4F without an operating system, and output to the debugger by semihosting. */
#include <stddef.h>
#include <stdint.h>

#include "platform.h"

int main(void);
void reset(void);

/* Addresses from the linker script. */
extern uint32_t stack_top[], data_in_flash[], data_start[], data_end[], bss_start[], bss_end[];

enum {
    SYS_WRITE0 = 0x04,
    SYS_EXIT = 0x18,
    APPLICATION_EXIT = 0x20026,
    RUN_TIME_ERROR = 0x20023
};

static void semihosting(uint32_t operation, uintptr_t argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register uintptr_t r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

static void leave(uint32_t why)
{
    for (;;) {
        semihosting(SYS_EXIT, why);
    }
}

void platform_write(const char *text)
{
    semihosting(SYS_WRITE0, (uintptr_t)text);
}

static void fault(void)
{
    platform_write("fault\n");
    leave(RUN_TIME_ERROR);
}

void reset(void)
{
    volatile uint32_t *cpacr = (volatile uint32_t *)0xE000ED88;
    const uint32_t *from = data_in_flash;
    uint32_t *to;

    /* Until the floating-point unit is on, each of its instructions causes a fault. */
    *cpacr |= UINT32_C(0xF) << 20;
    __asm__ volatile("dsb\n\tisb" ::: "memory");

    for (to = data_start; to < data_end; to++) {
        *to = *from++;
    }
    for (to = bss_start; to < bss_end; to++) {
        *to = 0;
    }
    leave(main() == 0 ? APPLICATION_EXIT : RUN_TIME_ERROR);
}

/* The stack, the entry point and the processor's own exceptions; no interrupt is enabled. */
typedef void (*handler)(void);

struct vectors {
    uint32_t *stack;
    handler handlers[15];
};

__attribute__((section(".vectors"), used)) const struct vectors vectors = {
    stack_top,
    {reset, fault, fault, fault, fault, fault, NULL, NULL, NULL, NULL, fault, fault, NULL, fault, fault},
};
