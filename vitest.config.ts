import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['packages/*/src/**/*.test.ts', 'bench/*.test.ts', 'scripts/*.test.ts'],
    testTimeout: 120_000,
    // Two cores: the native engine uses both, so files take turns.
    fileParallelism: false,
  },
});
