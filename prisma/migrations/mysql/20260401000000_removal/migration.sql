-- AlterTable
ALTER TABLE `McpInstance` ADD COLUMN `removingAt` DATETIME(3) NULL;

-- AlterTable
ALTER TABLE `Space` ADD COLUMN `disabledAt` DATETIME(3) NULL;

-- AlterTable
ALTER TABLE `Sync` ADD COLUMN `confirmPrune` BOOLEAN NOT NULL DEFAULT false;

-- AlterTable
ALTER TABLE `SyncTarget` ADD COLUMN `removes` BOOLEAN NOT NULL DEFAULT false, ADD COLUMN `conflict` LONGTEXT NULL;
