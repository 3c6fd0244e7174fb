#pragma once
#include "device.h"

namespace standin {
// Runs every thread of a grid to its end.
void run_grid(Launcher kernel, void **given, dim3 grid, dim3 block, size_t shared);
} // namespace standin
