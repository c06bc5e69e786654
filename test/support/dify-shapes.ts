import { DIFY_SCHEMA_SQL } from '../../demo/dify/schema.ts'

/**
 * Dify's tables as its releases made them: the PostgreSQL of 1.6 … 1.15 and later (dify.md §1.1, §1.6), and what its migrations
 * make on MySQL since 1.10.1 (§1.7 with §13's corrections: plain indexes of the joins, all columns of the accounts).
 */

export type Engine = 'postgresql' | 'mysql'

export type Shape = '1.6' | '1.7' | '1.8' | '1.9' | '1.10' | '1.14' | '1.15' | '1.16' | 'fork'

/** Every shape that can send a header, on every engine it runs on. */
export const SHAPES_WITH_HEADERS: readonly (readonly [Engine, Shape])[] = [
  ['postgresql', '1.9'],
  ['postgresql', '1.10'],
  ['postgresql', '1.14'],
  ['postgresql', '1.15'],
  ['postgresql', '1.16'],
  ['postgresql', 'fork'],
  ['mysql', '1.10'],
  ['mysql', '1.14'],
  ['mysql', '1.16'],
  ['mysql', 'fork'],
]

export const SHAPES_WITHOUT_HEADERS: readonly (readonly [Engine, Shape])[] = [
  ['postgresql', '1.6'],
  ['postgresql', '1.7'],
  ['postgresql', '1.8'],
]

/** Alembic heads (dify.md §1.2). */
const HEADS: Record<Shape, string> = {
  '1.6': '58eb7bdb93fe',
  '1.7': '532b3f888abf',
  '1.8': 'b95962a3885c',
  '1.9': '68519ad5cd18',
  '1.10': '09cfdda155d1',
  '1.14': 'a4f2d8c9b731',
  '1.15': 'd9e8f7a6b5c4',
  '1.16': '7a1c2d9e4b60',
  fork: 'f0f0f0f0f0f0',
}

/** What the newest shape has more than this one. */
const LESS: Partial<Record<Shape, readonly string[]>> = {
  '1.6': ['identity_mode', 'encrypted_headers', 'timeout', 'sse_read_timeout'],
  '1.7': ['identity_mode', 'encrypted_headers', 'timeout', 'sse_read_timeout'],
  '1.8': ['identity_mode', 'encrypted_headers'],
  '1.9': ['identity_mode'],
  '1.10': ['identity_mode'],
  '1.14': ['identity_mode'],
}

/** One script for an empty database. */
export function difySchemaSql(engine: Engine, shape: Shape): string {
  const statements: string[] = [engine === 'postgresql' ? DIFY_SCHEMA_SQL : DIFY_MYSQL_SCHEMA_SQL]
  const less = LESS[shape] ?? []
  for (const column of less) statements.push(`ALTER TABLE tool_mcp_providers DROP COLUMN ${column};`)
  if (less.length > 0) statements.push('ALTER TABLE tenant_account_joins DROP COLUMN last_opened_at;')
  if (shape === '1.6') {
    statements.push('ALTER TABLE tool_mcp_providers ALTER COLUMN server_identifier TYPE varchar(24);')
  }
  if (shape === 'fork') {
    statements.push(
      'ALTER TABLE tool_mcp_providers ADD COLUMN encrypted_proxy text;',
      "ALTER TABLE tool_mcp_providers ADD COLUMN fork_mode varchar(8) DEFAULT 'x' NOT NULL;",
    )
  }
  statements.push(`UPDATE alembic_version SET version_num = '${HEADS[shape]}';`)
  return statements.join('\n')
}

/** What Dify's tables get on MySQL 8, its default. MariaDB has none of that name; `unicode_ci` takes nearly the same names for equal. */
export const DIFY_COLLATION = '/*!80000 utf8mb4_0900_ai_ci */ /*M! utf8mb4_unicode_ci */'

const TABLE_OPTIONS = `ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=${DIFY_COLLATION}`

const DIFY_MYSQL_SCHEMA_SQL = `
CREATE TABLE tenants (
  id CHAR(36) NOT NULL, name VARCHAR(255) NOT NULL, encrypt_public_key LONGTEXT NULL,
  plan VARCHAR(255) NOT NULL DEFAULT 'basic', status VARCHAR(255) NOT NULL DEFAULT 'normal', custom_config LONGTEXT NULL,
  created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP, updated_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (id)) ${TABLE_OPTIONS};
CREATE TABLE accounts (
  id CHAR(36) NOT NULL, name VARCHAR(255) NOT NULL, email VARCHAR(255) NOT NULL,
  password VARCHAR(255) NULL, password_salt VARCHAR(255) NULL, avatar VARCHAR(255) NULL, interface_language VARCHAR(255) NULL,
  interface_theme VARCHAR(255) NULL, timezone VARCHAR(255) NULL, last_login_at DATETIME NULL, last_login_ip VARCHAR(255) NULL,
  last_active_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP, status VARCHAR(16) NOT NULL DEFAULT 'active',
  initialized_at DATETIME NULL, created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (id), KEY account_email_idx (email)) ${TABLE_OPTIONS};
CREATE TABLE tenant_account_joins (
  id CHAR(36) NOT NULL, tenant_id CHAR(36) NOT NULL, account_id CHAR(36) NOT NULL,
  role VARCHAR(16) NOT NULL DEFAULT 'normal', invited_by CHAR(36) NULL, \`current\` TINYINT(1) NOT NULL DEFAULT 0,
  last_opened_at DATETIME NULL, created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (id), UNIQUE KEY unique_tenant_account_join (tenant_id, account_id),
  KEY tenant_account_join_account_id_idx (account_id), KEY tenant_account_join_tenant_id_idx (tenant_id)) ${TABLE_OPTIONS};
CREATE TABLE tool_mcp_providers (
  id CHAR(36) NOT NULL, name VARCHAR(40) NOT NULL, server_identifier VARCHAR(64) NOT NULL,
  server_url LONGTEXT NOT NULL, server_url_hash VARCHAR(64) NOT NULL, icon VARCHAR(255) NULL,
  tenant_id CHAR(36) NOT NULL, user_id CHAR(36) NOT NULL, encrypted_credentials LONGTEXT NULL,
  authed TINYINT(1) NOT NULL, tools LONGTEXT NOT NULL,
  created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP, updated_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  timeout FLOAT NOT NULL DEFAULT 30, sse_read_timeout FLOAT NOT NULL DEFAULT 300, encrypted_headers LONGTEXT NULL,
  identity_mode VARCHAR(32) NOT NULL DEFAULT 'off',
  PRIMARY KEY (id),
  UNIQUE KEY unique_mcp_provider_name (tenant_id, name),
  UNIQUE KEY unique_mcp_provider_server_identifier (tenant_id, server_identifier),
  UNIQUE KEY unique_mcp_provider_server_url (tenant_id, server_url_hash)) ${TABLE_OPTIONS};
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, PRIMARY KEY (version_num)) ${TABLE_OPTIONS};
INSERT INTO alembic_version (version_num) VALUES ('7a1c2d9e4b60');
`
