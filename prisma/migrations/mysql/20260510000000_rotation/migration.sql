-- AlterTable
ALTER TABLE `ToolSnapshot` ADD COLUMN `changedAt` DATETIME(3) NULL;

-- AlterTable
ALTER TABLE `Binding` ADD COLUMN `told` VARCHAR(64) NULL;

-- AlterTable
ALTER TABLE `GatewayToken` ADD COLUMN `retiringAt` DATETIME(3) NULL,
    ADD COLUMN `supersededAt` DATETIME(3) NULL,
    ADD COLUMN `graceSeconds` INTEGER NULL,
    ADD COLUMN `told` VARCHAR(64) NULL;

-- AlterTable
ALTER TABLE `SyncProfile` ADD COLUMN `onToolsChanged` VARCHAR(16) NULL,
    ADD COLUMN `rotateAfterDays` INTEGER NULL;

-- CreateIndex
CREATE INDEX `GatewayToken_state_idx` ON `GatewayToken`(`state`);
