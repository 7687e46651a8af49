import t from 'tap'
import { masking } from './cases/5.1-masking.js'
import { overHttp1 } from './support.js'

masking(t, overHttp1)
