-- DropIndex
DROP INDEX "GatewayLogEntry_at_idx";

-- DropIndex
DROP INDEX "GatewayLogEntry_instanceId_at_idx";

-- DropIndex
DROP INDEX "GatewayLogEntry_bindingId_at_idx";

-- CreateIndex
CREATE INDEX "GatewayLogEntry_instanceId_id_idx" ON "GatewayLogEntry"("instanceId", "id");

-- CreateIndex
CREATE INDEX "GatewayLogEntry_bindingId_id_idx" ON "GatewayLogEntry"("bindingId", "id");
