import t from 'tap'
import { overHttp1 } from '../../conformance/support.js'
import { memory } from './cases.js'

memory(t, overHttp1)
