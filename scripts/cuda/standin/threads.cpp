// A grid's blocks one after the other, a block's threads as fibres that give way at barriers.
#include "threads.h"
#include "device.h"
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <sys/mman.h>
#include <vector>

namespace standin {
dim3 thread_index, block_index, block_size, grid_size;

namespace {
constexpr size_t STACK = 64 << 10;
constexpr unsigned MOST = 1024;

enum class State { Ready, Warp, Block, Done };
struct Fibre {
  void *stack_pointer;
  State state;
};

Fibre fibres[MOST];
alignas(16) unsigned char slots[MOST][16];
unsigned running, threads;
void *scheduler;
Launcher launcher;
void **arguments;
std::vector<unsigned char> shared_memory;

extern "C" void standin_switch(void **save, void *load);
asm(R"(
.text
.globl standin_switch
standin_switch:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
)");

void leave(State state) {
  Fibre &own = fibres[running];
  own.state = state;
  standin_switch(&own.stack_pointer, scheduler);
}

void body() {
  launcher(arguments);
  leave(State::Done);
}

char *stacks() {
  static char *memory = static_cast<char *>(mmap(nullptr, STACK * MOST, PROT_READ | PROT_WRITE,
                                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  return memory;
}

void start(unsigned thread) {
  // six saved registers and the address to return to; aligned as after a call
  void **top = reinterpret_cast<void **>(stacks() + STACK * (thread + 1)) - 8;
  memset(top, 0, 8 * sizeof *top);
  top[6] = reinterpret_cast<void *>(&body);
  fibres[thread] = {top, State::Ready};
}

void resume(unsigned thread) {
  running = thread;
  thread_index = {thread % block_size.x, thread / block_size.x % block_size.y,
                  thread / block_size.x / block_size.y};
  standin_switch(&scheduler, fibres[thread].stack_pointer);
}

// Lets threads `first..last` go on where all that are left wait for `state`.
bool release(unsigned first, unsigned last, State state) {
  bool any = false;
  for (unsigned i = first; i < last; i++) {
    if (fibres[i].state != state && fibres[i].state != State::Done)
      return false;
    any |= fibres[i].state == state;
  }
  for (unsigned i = first; any && i < last; i++)
    if (fibres[i].state == state)
      fibres[i].state = State::Ready;
  return any;
}

void run_block() {
  for (unsigned i = 0; i < threads; i++)
    start(i);
  for (;;) {
    for (unsigned i = 0; i < threads; i++)
      if (fibres[i].state == State::Ready)
        resume(i);
    bool on = false;
    for (unsigned i = 0; i < threads; i += 32)
      on |= release(i, std::min(i + 32, threads), State::Warp);
    if (!on && !release(0, threads, State::Block))
      break;
  }
  for (unsigned i = 0; i < threads; i++)
    if (fibres[i].state != State::Done) {
      fprintf(stderr, "stand-in: threads of a block wait for each other at different barriers\n");
      abort();
    }
}
} // namespace

void wait_block() { leave(State::Block); }
void wait_warp() { leave(State::Warp); }
unsigned char *slot(unsigned thread) { return slots[thread % MOST]; }
unsigned thread_number() { return running; }
void *dynamic_shared() { return shared_memory.data(); }

void run_grid(Launcher kernel, void **given, dim3 grid, dim3 block, size_t shared) {
  static std::mutex one;
  std::lock_guard<std::mutex> guard(one);
  threads = block.x * block.y * block.z;
  if (threads == 0 || threads > MOST) {
    fprintf(stderr, "stand-in: a block of %u threads\n", threads);
    abort();
  }
  launcher = kernel, arguments = given, block_size = block, grid_size = grid;
  shared_memory.resize(shared);
  for (unsigned z = 0; z < grid.z; z++)
    for (unsigned y = 0; y < grid.y; y++)
      for (unsigned x = 0; x < grid.x; x++) {
        block_index = {x, y, z};
        run_block();
      }
}
} // namespace standin
