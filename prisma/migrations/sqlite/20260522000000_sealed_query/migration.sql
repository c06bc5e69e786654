-- AlterTable
ALTER TABLE "McpInstance" ADD COLUMN "sealedQuery" TEXT;
