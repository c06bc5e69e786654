-- AlterTable
ALTER TABLE `McpInstance` ADD COLUMN `sealedQuery` LONGTEXT NULL;
