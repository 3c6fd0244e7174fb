// Philox 4x32-10 and draws of indices, the bits of `advect-rng`.
#pragma once
#include "../graph/place.cuh"

// A stream's key, the high half of its counter, and the first block of a fill.
struct Origin {
  unsigned key0, key1;
  unsigned long long stream;
  Place counter;
};

struct Words {
  unsigned at[4];
};

// Salmon, Moraes, Dror, Shaw 2011.
__device__ __forceinline__ Words philox(Origin origin, unsigned long long block) {
  unsigned long long position = number_at(origin.counter) + block;
  unsigned c0 = (unsigned)position, c1 = (unsigned)(position >> 32);
  unsigned c2 = (unsigned)origin.stream, c3 = (unsigned)(origin.stream >> 32);
  unsigned k0 = origin.key0, k1 = origin.key1;
  for (int round = 0; round < 10; round++) {
    unsigned long long p0 = 0xD2511F53ull * c0, p1 = 0xCD9E8D57ull * c2;
    c0 = (unsigned)(p1 >> 32) ^ c1 ^ k0;
    c1 = (unsigned)p1;
    c2 = (unsigned)(p0 >> 32) ^ c3 ^ k1;
    c3 = (unsigned)p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// The i-th index of a fill: floor(range r / 2^64) for 64 bits r.
__device__ __forceinline__ unsigned index_of(Origin origin, unsigned range, unsigned i) {
  Words words = philox(origin, i / 2);
  unsigned long long low = words.at[i % 2 * 2], high = words.at[i % 2 * 2 + 1];
  return (unsigned)((high * range + (low * range >> 32)) >> 32);
}
