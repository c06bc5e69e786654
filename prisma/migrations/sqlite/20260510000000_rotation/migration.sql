-- AlterTable
ALTER TABLE "ToolSnapshot" ADD COLUMN "changedAt" DATETIME;

-- AlterTable
ALTER TABLE "Binding" ADD COLUMN "told" TEXT;

-- AlterTable
ALTER TABLE "GatewayToken" ADD COLUMN "retiringAt" DATETIME;
ALTER TABLE "GatewayToken" ADD COLUMN "supersededAt" DATETIME;
ALTER TABLE "GatewayToken" ADD COLUMN "graceSeconds" INTEGER;
ALTER TABLE "GatewayToken" ADD COLUMN "told" TEXT;

-- AlterTable
ALTER TABLE "SyncProfile" ADD COLUMN "onToolsChanged" TEXT;
ALTER TABLE "SyncProfile" ADD COLUMN "rotateAfterDays" INTEGER;

-- CreateIndex
CREATE INDEX "GatewayToken_state_idx" ON "GatewayToken"("state");
