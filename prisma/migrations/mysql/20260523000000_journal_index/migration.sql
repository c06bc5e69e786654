-- DropIndex
DROP INDEX `GatewayLogEntry_at_idx` ON `GatewayLogEntry`;

-- DropIndex
DROP INDEX `GatewayLogEntry_instanceId_at_idx` ON `GatewayLogEntry`;

-- DropIndex
DROP INDEX `GatewayLogEntry_bindingId_at_idx` ON `GatewayLogEntry`;

-- CreateIndex
CREATE INDEX `GatewayLogEntry_instanceId_id_idx` ON `GatewayLogEntry`(`instanceId`, `id`);

-- CreateIndex
CREATE INDEX `GatewayLogEntry_bindingId_id_idx` ON `GatewayLogEntry`(`bindingId`, `id`);
