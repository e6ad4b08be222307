/**
 * Loads what a start loads, so that its compiled code is kept (see launch.js) and the first start is as fast as those that
 * follow. Nothing runs.
 */
await Promise.all([import('../proxy/serve.ts'), import('../proxy/data-plane.ts')]);
