/**
 * The part of Dify's database (PostgreSQL, newest shape: 1.15 and later) that Toolferry reads and writes, for the demo and
 * the tests. Source: dify.md §1.6. `gen_random_uuid()` stands in for Dify's `uuid_generate_v4()`, so that no extension is
 * needed; the adapter relies on neither.
 */

/** The alembic head of Dify 1.16.0 (dify.md §1.2). */
export const DIFY_ALEMBIC_VERSION = '7a1c2d9e4b60'

export const DIFY_TENANTS_SQL = `
CREATE TABLE tenants (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  name varchar(255) NOT NULL,
  encrypt_public_key text,
  plan varchar(255) DEFAULT 'basic' NOT NULL,
  status varchar(255) DEFAULT 'normal' NOT NULL,
  custom_config text,
  created_at timestamp DEFAULT CURRENT_TIMESTAMP(0) NOT NULL,
  updated_at timestamp DEFAULT CURRENT_TIMESTAMP(0) NOT NULL,
  CONSTRAINT tenant_pkey PRIMARY KEY (id)
);`

export const DIFY_ACCOUNTS_SQL = `
CREATE TABLE accounts (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  name varchar(255) NOT NULL,
  email varchar(255) NOT NULL,
  password varchar(255),
  password_salt varchar(255),
  avatar varchar(255),
  interface_language varchar(255),
  interface_theme varchar(255),
  timezone varchar(255),
  last_login_at timestamp,
  last_login_ip varchar(255),
  last_active_at timestamp DEFAULT CURRENT_TIMESTAMP(0) NOT NULL,
  status varchar(16) DEFAULT 'active' NOT NULL,
  initialized_at timestamp,
  created_at timestamp DEFAULT CURRENT_TIMESTAMP(0) NOT NULL,
  updated_at timestamp DEFAULT CURRENT_TIMESTAMP(0) NOT NULL,
  CONSTRAINT account_pkey PRIMARY KEY (id)
);
CREATE INDEX account_email_idx ON accounts (email);`

export const DIFY_TENANT_ACCOUNT_JOINS_SQL = `
CREATE TABLE tenant_account_joins (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  tenant_id uuid NOT NULL,
  account_id uuid NOT NULL,
  role varchar(16) DEFAULT 'normal' NOT NULL,
  invited_by uuid,
  current boolean DEFAULT false NOT NULL,
  last_opened_at timestamp,
  created_at timestamp DEFAULT CURRENT_TIMESTAMP(0) NOT NULL,
  updated_at timestamp DEFAULT CURRENT_TIMESTAMP(0) NOT NULL,
  CONSTRAINT tenant_account_join_pkey PRIMARY KEY (id),
  CONSTRAINT unique_tenant_account_join UNIQUE (tenant_id, account_id)
);
CREATE INDEX tenant_account_join_account_id_idx ON tenant_account_joins (account_id);
CREATE INDEX tenant_account_join_tenant_id_idx ON tenant_account_joins (tenant_id);`

export const DIFY_TOOL_MCP_PROVIDERS_SQL = `
CREATE TABLE tool_mcp_providers (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  name varchar(40) NOT NULL,
  server_identifier varchar(64) NOT NULL,
  server_url text NOT NULL,
  server_url_hash varchar(64) NOT NULL,
  icon varchar(255),
  tenant_id uuid NOT NULL,
  user_id uuid NOT NULL,
  encrypted_credentials text,
  authed boolean NOT NULL,
  tools text NOT NULL,
  created_at timestamp DEFAULT CURRENT_TIMESTAMP(0) NOT NULL,
  updated_at timestamp DEFAULT CURRENT_TIMESTAMP(0) NOT NULL,
  timeout double precision DEFAULT 30 NOT NULL,
  sse_read_timeout double precision DEFAULT 300 NOT NULL,
  encrypted_headers text,
  identity_mode varchar(32) DEFAULT 'off' NOT NULL,
  CONSTRAINT tool_mcp_provider_pkey PRIMARY KEY (id),
  CONSTRAINT unique_mcp_provider_name UNIQUE (tenant_id, name),
  CONSTRAINT unique_mcp_provider_server_identifier UNIQUE (tenant_id, server_identifier),
  CONSTRAINT unique_mcp_provider_server_url UNIQUE (tenant_id, server_url_hash)
);`

export const DIFY_ALEMBIC_VERSION_SQL = `
CREATE TABLE alembic_version (version_num varchar(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));
INSERT INTO alembic_version (version_num) VALUES ('${DIFY_ALEMBIC_VERSION}');`

/** Everything, in one script: run it in an empty database. */
export const DIFY_SCHEMA_SQL = [
  DIFY_TENANTS_SQL,
  DIFY_ACCOUNTS_SQL,
  DIFY_TENANT_ACCOUNT_JOINS_SQL,
  DIFY_TOOL_MCP_PROVIDERS_SQL,
  DIFY_ALEMBIC_VERSION_SQL,
].join('\n')
