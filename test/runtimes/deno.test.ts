import t from 'tap'
import { runtimeTests } from './support.js'

runtimeTests(t, { name: 'deno', args: ['run', '--allow-all', '--node-modules-dir=manual', '--no-lock', '--cached-only'] })
