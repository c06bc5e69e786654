import { mission } from './mission/mission.ts'

mission('en')
