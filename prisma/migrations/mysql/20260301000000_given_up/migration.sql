-- AlterTable
ALTER TABLE `Deployment` ADD COLUMN `givenUpDigest` CHAR(64) NULL;
