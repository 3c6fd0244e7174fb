// Numbers of the host that a graph moves.
#pragma once

// Positions of a recorder.
#define POSITIONS 16

// A number that the host knows, or, in a graph, one that lies so far behind a number of the device.
struct Place {
  const unsigned long long *base;
  unsigned long long offset;
};

__device__ __forceinline__ unsigned long long number_at(Place place) {
  return place.offset + (place.base ? *place.base : 0);
}
