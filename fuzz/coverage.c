/* Tells libFuzzer which code of libjpeg-turbo an input reaches, for a library that GCC compiled with
 * -fsanitize-coverage=trace-pc (libjpeg.sh): each place counts in a table that libFuzzer reads ("extra counters"). */
#include <stdint.h>

#define COUNTERS (1u << 16)

__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t counters[COUNTERS];

void libjpeg_reached(void) {
  uint32_t place = (uint32_t)(uintptr_t)__builtin_return_address(0);
  uint8_t *counter = &counters[place * 2654435761u >> 16];
  if (*counter < UINT8_MAX) ++*counter;
}
