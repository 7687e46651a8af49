import t from 'tap'
import { defineCases } from './async-context-cases.js'

defineCases(t)
