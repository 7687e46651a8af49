// tsd always checks the declarations of all dependencies too, which takes two thirds of its time. Ours are checked without
// skipLibCheck by test/pack.test.ts.
const config = require('../../node_modules/tsd/dist/lib/config.js')
const load = config.default
config.default = (...args) => {
  const loaded = load(...args)
  return { ...loaded, compilerOptions: { ...loaded.compilerOptions, skipLibCheck: true } }
}
