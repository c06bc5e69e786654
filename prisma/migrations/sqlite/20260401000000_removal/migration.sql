-- AlterTable
ALTER TABLE "McpInstance" ADD COLUMN "removingAt" DATETIME;

-- AlterTable
ALTER TABLE "Space" ADD COLUMN "disabledAt" DATETIME;

-- AlterTable
ALTER TABLE "Sync" ADD COLUMN "confirmPrune" BOOLEAN NOT NULL DEFAULT false;

-- AlterTable
ALTER TABLE "SyncTarget" ADD COLUMN "removes" BOOLEAN NOT NULL DEFAULT false;
ALTER TABLE "SyncTarget" ADD COLUMN "conflict" TEXT;
