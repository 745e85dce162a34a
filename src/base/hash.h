/*
 * 64-bit hashes with fixed definitions (they become part of files and random streams):
 * FNV-1a finished by the splitmix64 mixer. Test: tests/test_hash.c
 */
#ifndef CUPEL_BASE_HASH_H
#define CUPEL_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash_mix64(uint64_t x);                     /* splitmix64 finaliser */
uint64_t hash_bytes(const void *bytes, size_t size); /* of a byte string */
uint64_t hash_string(const char *text);              /* hash_bytes without the final 0 */
uint64_t hash_combine(uint64_t a, uint64_t b);       /* order matters */

#endif
