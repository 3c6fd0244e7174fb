// What a graph moves by itself.
#include "place.cuh"

// How far each position moves.
struct Moves {
  unsigned long long by[POSITIONS];
};

extern "C" __global__ void move_positions(unsigned long long *positions, Moves moves) {
  positions[threadIdx.x] += moves.by[threadIdx.x];
}
