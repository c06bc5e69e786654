/** Loads what the roles load and ends: with NODE_COMPILE_CACHE set, that is compiled from then on. Run: node scripts/load-roles.ts */

for (const role of ['api', 'worker', 'gateway']) await import(`../src/roles/${role}.ts`)
process.exit()
