// Package vsyscall finds in x86-64 programs and libraries the calls of the vsyscall page, and says how to make system
// calls of them. It is pure: it reads one file and writes none.
//
// glibc before 2.14 calls the page like this, in C libraries and in programs that are linked statically:
//
//	48 c7 c0 00 04 60 ff   mov  $0xffffffffff600400,%rax      b8 c9 00 00 00   mov  $201,%eax
//	ff d0                  call *%rax                    →    0f 05            syscall
//	                                                          90 90            nop; nop
//
// with the addresses …000 (gettimeofday, 96), …400 (time, 201) and …800 (getcpu, 309). What a call may change, a
// system call changes less of: rax, rcx and r11; arguments are in the same registers; neither length nor unwinding
// changes. The same is done, since compilers make it of the same source, where
//
//   - another register that a call need not keep has the address (49 c7 c3 …; 41 ff d3), or mov has it in eight bytes;
//   - it is a jump, the last thing a function does: mov, syscall, ret;
//   - it is rax, and between the two there are some instructions that move or compute something else.
//
// What is not changed: an address that is taken from memory or compared (glibc 2.7 to 2.13 keeps one for the day when
// the kernel has no vDSO), that is called a second time or in another branch, or that is reached by a direct call (five
// bytes, and seven are needed).
//
// Bytes alone are no proof. They are only changed where both instructions are reached by following the program's own flow
// from where functions begin: its entry, its symbols, its unwind table; through jumps and calls; and behind a jump through
// a table as far as the function goes. So data that looks like the call is left alone, in a section of data, between
// functions, or inside another instruction. What cannot be followed is reported as not sure.
package vsyscall
