import t from 'tap'
import { overHttp2 } from '../../conformance/support.js'
import { memory } from './cases.js'

memory(t, overHttp2)
