#pragma once
#include <cstdint>
#include <cstring>

// A float's upper half.
struct __nv_bfloat16 {
  unsigned short bits = 0;
  __nv_bfloat16() = default;
  __nv_bfloat16(float x) {
    uint32_t whole;
    memcpy(&whole, &x, sizeof whole);
    bits = (whole + 0x7fff + (whole >> 16 & 1)) >> 16;
  }
  operator float() const {
    uint32_t whole = uint32_t(bits) << 16;
    float x;
    memcpy(&x, &whole, sizeof x);
    return x;
  }
};
