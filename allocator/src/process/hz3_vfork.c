#include "process/hz3_vfork.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>

#include "front/hz3_front_cpu.h"
#include "process/hz3_init.h"

// Calls of vfork that this thread has not come back from as a parent: only children see another value than 0. Nested
// ones are counted, for a child may have a child.
static HZ3_TLS uint32_t under_way;

bool hz3_vfork_is_child(void)
{
    return under_way != 0;
}

void hz3_vfork_fork_child(void)
{
    hz3_cpu_front_fork_child(under_way);
}

// vfork returns twice on one stack, and what the child does after the first time overwrites the frame that the second
// one would return from. So vfork itself has no frame: it keeps its return address in a register, of which both
// have a copy. The second function is called by the parent alone, when the child has gone.
__attribute__((used)) void hz3_vfork_begin(void)
{
    hz3_init();
    under_way++;
    hz3_cpu_front_suspend();
}

__attribute__((used)) int hz3_vfork_end(long result)
{
    hz3_cpu_front_resume();
    under_way--;
    if (result < 0) {
        errno = (int)-result;
        return -1;
    }
    return (int)result;
}

// The formatter would put several instructions on a line.
// clang-format off
#if defined(__x86_64__)
_Static_assert(SYS_vfork == 58, "the number below");
__asm__(
    ".pushsection .text\n"
    ".globl vfork, __vfork\n"
    ".type vfork, @function\n"
    ".type __vfork, @function\n"
    ".balign 16\n"
    "vfork:\n"
    "__vfork:\n"
    ".cfi_startproc\n"
    "sub $8, %rsp\n"               // calls want it aligned to 16
    ".cfi_adjust_cfa_offset 8\n"
    "call hz3_vfork_begin\n"
    "add $8, %rsp\n"
    ".cfi_adjust_cfa_offset -8\n"
    "pop %rdx\n"                   // the return address
    ".cfi_adjust_cfa_offset -8\n"
    ".cfi_register %rip, %rdx\n"
    "mov $58, %eax\n"              // SYS_vfork
    "syscall\n"
    "test %rax, %rax\n"
    "jz .Lvfork_child\n"
    "push %rdx\n"
    "mov %rax, %rdi\n"
    "jmp hz3_vfork_end\n"
    ".Lvfork_child:\n"
    "jmp *%rdx\n"                  // no return: a shadow stack is the parent's, too
    ".cfi_endproc\n"
    ".size vfork, . - vfork\n"
    ".popsection\n");
#elif defined(__aarch64__)
_Static_assert(SYS_clone == 220 && (CLONE_VFORK | CLONE_VM | SIGCHLD) == 0x4111, "the numbers below");
__asm__(
    ".pushsection .text\n"
    ".globl vfork, __vfork\n"
    ".type vfork, %function\n"
    ".type __vfork, %function\n"
    ".balign 16\n"
    "vfork:\n"
    "__vfork:\n"
    ".cfi_startproc\n"
    "stp x29, x30, [sp, -16]!\n"
    ".cfi_adjust_cfa_offset 16\n"
    "bl hz3_vfork_begin\n"
    "ldp x29, x30, [sp], 16\n"     // x30 is the return address
    ".cfi_adjust_cfa_offset -16\n"
    "mov x0, 0x4111\n"             // CLONE_VFORK | CLONE_VM | SIGCHLD
    "mov x1, 0\n"
    "mov x2, 0\n"
    "mov x3, 0\n"
    "mov x4, 0\n"
    "mov x8, 220\n"                // SYS_clone
    "svc 0\n"
    "cbnz x0, hz3_vfork_end\n"
    "ret\n"
    ".cfi_endproc\n"
    ".size vfork, . - vfork\n"
    ".popsection\n");
#endif
// clang-format on
