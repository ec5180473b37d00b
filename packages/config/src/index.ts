/** Nets and recipes as typed data. */
export { type CheckedConfig, type Config, configFileName, defineConfig, loadConfig } from './config-file.ts';
export { type Layer, type Learning, type Net, netSchema } from './net.ts';
export { isPreset, type Preset, type PresetName, presets } from './presets.ts';
export { type Recipe, recipeSchema, type Schedule } from './recipe.ts';
