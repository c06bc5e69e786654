-- AlterTable
ALTER TABLE `Webhook` ADD COLUMN `template` VARCHAR(16) NULL,
    ADD COLUMN `language` VARCHAR(8) NULL,
    ADD COLUMN `rowVersion` INTEGER NOT NULL DEFAULT 1;

-- CreateTable
CREATE TABLE `WebhookDelivery` (
    `id` CHAR(36) NOT NULL,
    `webhookId` CHAR(36) NOT NULL,
    `event` VARCHAR(64) NOT NULL,
    `eventKey` VARCHAR(191) NOT NULL,
    `payload` LONGTEXT NOT NULL,
    `state` VARCHAR(16) NOT NULL,
    `attempts` INTEGER NOT NULL DEFAULT 0,
    `lastStatus` INTEGER NULL,
    `lastError` TEXT NULL,
    `dueAt` DATETIME(3) NOT NULL,
    `createdAt` DATETIME(3) NOT NULL,
    `updatedAt` DATETIME(3) NOT NULL,
    `finishedAt` DATETIME(3) NULL,

    UNIQUE INDEX `WebhookDelivery_webhookId_eventKey_key`(`webhookId`, `eventKey`),
    INDEX `WebhookDelivery_state_dueAt_idx`(`state`, `dueAt`),
    INDEX `WebhookDelivery_createdAt_idx`(`createdAt`),
    PRIMARY KEY (`id`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
