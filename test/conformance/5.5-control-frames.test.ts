import t from 'tap'
import { controlFrames } from './cases/5.5-control-frames.js'
import { overHttp1 } from './support.js'

controlFrames(t, overHttp1)
