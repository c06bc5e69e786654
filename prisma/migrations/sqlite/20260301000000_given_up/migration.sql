-- AlterTable
ALTER TABLE "Deployment" ADD COLUMN "givenUpDigest" TEXT;
