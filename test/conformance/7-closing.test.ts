import t from 'tap'
import { closing } from './cases/7-closing.js'
import { overHttp1 } from './support.js'

closing(t, overHttp1)
