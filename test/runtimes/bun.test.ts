import t from 'tap'
import { runtimeTests } from './support.js'

runtimeTests(t, { name: 'bun', args: ['--no-install'] })
