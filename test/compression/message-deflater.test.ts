import t from 'tap'
import { deflaterCases } from './deflater-cases.js'

deflaterCases(t)
