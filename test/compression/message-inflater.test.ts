import t from 'tap'
import { inflaterCases } from './inflater-cases.js'

inflaterCases(t)
