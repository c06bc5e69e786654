-- AlterTable
ALTER TABLE "Platform" ADD COLUMN "rotateAfterDays" INTEGER;
