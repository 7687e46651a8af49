import t from 'tap'
import { utf8 } from './cases/8.1-utf8.js'
import { overHttp1 } from './support.js'

utf8(t, overHttp1)
