/** What `ilsvrc.config.ts` imports. */
export { type Config, defineConfig } from '@ilsvrc/config';
